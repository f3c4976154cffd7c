"""The gradient check: claimed gradients against central differences, for tapes, hand-written pairs and single ops.

`front` is the door. Whatever is checked is a `Subject`; `slopes` compares one direction, `arguments` makes a row of it.
A `Replay` of what was recorded gives the right gradients, and those of a backward that somebody got wrong: `locate`
names the mistake that makes what was claimed, from the tables in `mistakes` and `changes`. Nothing that is checked is
changed.
"""
