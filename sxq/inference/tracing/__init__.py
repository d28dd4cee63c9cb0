"""From a module's forward to a graph of operations, and which of these treat every row alone."""
