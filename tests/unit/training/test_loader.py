import pytest
from torch.utils.data import Dataset

from training.data.sample import DatasetError
from training.loader import iterate_batches, require_device


class Numbers(Dataset):
    def __len__(self):
        return 12

    def __getitem__(self, index):
        return index


def test_batches_begin_at_any_step():
    batches = iterate_batches(Numbers(), range(1, 3), batch=4, workers=0, device="cpu")
    assert [batch.tolist() for batch in batches] == [[4, 5, 6, 7], [8, 9, 10, 11]]


def test_the_processor_is_a_device():
    require_device("cpu")


@pytest.mark.parametrize("name", ["cuda:99", "abacus"])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(DatasetError, match=f"got '{name}'") as caught:
        require_device(name)
    assert "\n" not in str(caught.value)
