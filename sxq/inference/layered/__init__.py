"""The layered backend: a traced model, run layer by layer over all candidates at once."""
