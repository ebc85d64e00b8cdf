"""Everything that one GPU can tell about mmvig, in one command: `tools/gpu_day.py`.

Each step is a process of its own with a time limit, a log and a result; see `plan.py`.
"""
