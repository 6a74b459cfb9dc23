"""The loop of PyTorch's quickstart and CIFAR-10 tutorials ("Training a Classifier")."""

import itertools
import time

from benchmarks.loops.lesson import Lesson
from benchmarks.loops.questions import Answer, Question


def measured(lesson: Lesson, question: Question) -> Answer:
    """Train as long as *question* says."""
    epochs = itertools.chain.from_iterable(itertools.repeat(lesson.loader))
    batches = itertools.islice(epochs, question.warm_up_steps + question.steps)
    lesson.network.train()
    samples, running_loss, began_s = 0, 0.0, time.perf_counter()
    for step, (images, targets) in enumerate(batches, start=1):
        lesson.optimizer.zero_grad()
        loss = lesson.loss_fn(lesson.network(images), targets)
        loss.backward()
        lesson.optimizer.step()
        running_loss += loss.item()
        samples += len(targets)
        if step == question.warm_up_steps:
            samples, began_s = 0, time.perf_counter()
    return Answer(samples, time.perf_counter() - began_s)
