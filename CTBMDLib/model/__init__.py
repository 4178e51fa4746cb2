"""The network, the bundle it comes in, and the images that it reads."""
