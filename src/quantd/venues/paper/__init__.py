"""The paper venue: orders executed by the simulated exchange, on any venue's data or on synthetic prices."""
