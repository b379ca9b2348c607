"""What a graph keeps of the model, and how it is called in training."""
