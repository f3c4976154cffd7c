"""The model run again on a copy: with changed weights, or with a shorter past."""
