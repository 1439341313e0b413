"""Training of the face detector: pictures, composed frames, targets, loss, loop, evaluation."""
