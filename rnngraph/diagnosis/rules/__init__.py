"""The rules: a plain function a finding, and a row a rule in `table`."""
