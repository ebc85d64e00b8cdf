"""The layers of torch with fewer bytes or cycles on CPUs; nothing here knows of ViG."""
