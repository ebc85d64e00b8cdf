# As the last base: parameters, gradients and optimizer states shared out over the processes
# (PyTorch's FSDP, by mmengine's FlexibleRunner). One file per checkpoint, as without it.
runner_type = 'FlexibleRunner'
strategy = dict(
    type='mmvig.FSDPStrategy',
    model_wrapper=dict(type='MMFullyShardedDataParallel', use_orig_params=True),
    state_dict_cfg='full',
)
