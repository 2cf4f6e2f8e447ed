"""Where all meet: presets, stages, the demo, and the command line."""
