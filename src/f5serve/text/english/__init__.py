"""Text normalisation for English: numbers, money, times, units and signs in words.

The result holds words that a pronouncing dictionary knows, each with its place in the text.
"""
