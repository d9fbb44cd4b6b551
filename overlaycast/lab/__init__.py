"""The testbed: experiments on emulated networks, with the real programs, a verdict and a report."""
