"""Token-wise layers in C++ on inputs chosen by hypothesis: many new ones by `make fuzz`.

`make fuzz` also runs them under AddressSanitizer and UndefinedBehaviorSanitizer.
"""

import pytest
import torch
from hypothesis import given, target
from hypothesis import strategies as st

from tests.support.tokenwise_cases import LAYERS, largest_share_of_budget

widths = st.one_of(st.integers(1, 70), st.sampled_from([32, 96, 255, 256, 257, 1000]))
# Few rows, or more than a thread takes at once.
rows = st.one_of(st.integers(1, 40), st.sampled_from([127, 1024, 1025, 3000]))


@pytest.mark.parametrize('name', LAYERS)
@given(data=st.data())
def test_any_tensor(name, poisoned, data):
    shape = [*data.draw(st.lists(st.integers(1, 3), max_size=2)), data.draw(rows)]
    shape.append(data.draw(widths.filter(lambda width: width * shape[-1] < 2**17)))
    dtype = data.draw(st.sampled_from([torch.float32, torch.bfloat16]))
    torch.manual_seed(data.draw(st.integers(0, 2**32 - 1)))
    inputs = LAYERS[name].inputs(shape, dtype)
    inputs = [x * 10.0 ** data.draw(st.integers(-4, 4)) for x in inputs]
    dy = torch.randn(shape) * 10.0 ** data.draw(st.integers(-4, 4))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(data.draw(st.integers(1, 4)))
        share = largest_share_of_budget(LAYERS[name], inputs, dy)
    finally:
        torch.set_num_threads(threads)
    target(share, label='largest error / budget')
    assert share <= 1
