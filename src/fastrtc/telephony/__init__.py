"""Telephone calls before and around their audio: answers to providers, signatures, fastphone."""
