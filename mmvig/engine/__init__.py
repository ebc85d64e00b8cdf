"""What plugs into the runner of mmengine: hooks, resuming, optimizers, strategies."""
