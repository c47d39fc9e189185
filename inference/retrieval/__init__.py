"""The retrieval index: knowledge pages and catalog items in LanceDB, searched by meaning, by words and by picture.

`build.py` brings it up to date and judges it, `releases.py` decides what is served, `search.py` reads it.
"""
