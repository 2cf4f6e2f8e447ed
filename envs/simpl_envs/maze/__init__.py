"""SimplMaze-v0. Empty, so that registration loads no simulator."""
