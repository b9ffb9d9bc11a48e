"""What tasks are made from: heads over any encoder, jobs, pipelines."""
