"""Reports: something that a rich console can print, or one line of strict JSON for programs."""
