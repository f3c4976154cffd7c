"""Charts that several reports draw: shapes on a sheet, their ways out, and lag curves over each other."""
