"""What runs inside the sandbox when a function is judged; it imports nothing else of Perilune.

Two processes that share no memory talk through pipes. One holds the program, the other the check; either asks the other
to call something, and answers with values. Values of plain kinds are copied, and keep their identity over there; all
else stays where it is, and the other side has a stand-in for it that asks.
"""
