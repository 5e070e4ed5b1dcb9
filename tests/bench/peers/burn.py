"""Work that needs a processor and nothing else."""


def burn(iterations):
    total = 0
    for i in range(iterations):
        total += i * i % 7
    return total
