"""sxq: a skyline query engine that explains the predictions of graph neural networks."""
