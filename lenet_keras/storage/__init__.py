"""Bytes on a disk: read with care, written whole or not at all."""
