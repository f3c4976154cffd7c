"""Answer what `measure` asks of a recording, by timestep, sample and unit."""
