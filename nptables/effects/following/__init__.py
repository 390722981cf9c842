"""Packets of each class, followed through two states."""
