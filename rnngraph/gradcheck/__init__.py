"""The gradient check: claimed gradients against central differences, for tapes, hand-written pairs and single ops.

`front` is the door. Whatever is checked is a `Subject`; `slopes` compares one direction, `rows` one argument, `locate`
says where a wrong one is wrong. Nothing that is checked is changed.
"""
