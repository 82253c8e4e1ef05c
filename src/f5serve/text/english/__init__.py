"""Written English as it is spoken: numbers, money, times, units and signs in words.

Text as people write it flows in, words that a pronouncing dictionary knows flow out, each with the
place in the text that it stands for. Sounds, voices and models are not known here.
"""
