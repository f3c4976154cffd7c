"""Compute: a function's scans are run again with taps, and their steps one by one."""
