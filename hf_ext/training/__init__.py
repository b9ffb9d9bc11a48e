"""What Trainer is given: jobs, callbacks and curves."""
