"""The rules: a plain function a finding, all of them in the table of `table`."""
