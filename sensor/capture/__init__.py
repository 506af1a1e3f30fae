"""Where execs come from: one module per backend, all with the interface of `base`."""
