"""What a run is told: the command line, its values, and the defaults of each model family."""
