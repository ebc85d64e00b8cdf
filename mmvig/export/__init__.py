"""Models of torch as files of ONNX."""
