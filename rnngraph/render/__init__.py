"""Every way to show a trace: pictures and pages in files, reports, and what a notebook shows. Only `save` writes.

This file and `save` load nothing: they are loaded with the package itself.
"""
