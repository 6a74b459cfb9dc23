"""Training loops side by side: the engine's, a tutorial's, Lightning's, and the engine's without its data.

Each side is a process of its own that measures itself when asked and sleeps otherwise, for what the engine
sets for its process (how memory is kept, for one) must not help the others.
"""
