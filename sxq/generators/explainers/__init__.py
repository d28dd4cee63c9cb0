"""Other people's explainers as generators: their masks become subgraphs, which are verified."""
