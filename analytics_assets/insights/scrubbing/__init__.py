"""Masking what could name somebody, before anything is read: dictionary, shapes, recognition."""
