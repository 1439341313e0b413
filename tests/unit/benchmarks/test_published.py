"""Published counts, and those worked out of published layers."""

import pytest

from benchmarks.published import MTCNN, mtcnn_counts, published_rows
from benchmarks.record import Table


def test_p_net_by_hand():
    parameters, macs = mtcnn_counts(*MTCNN["P-Net"])

    # 12 -> 3x3 -> 10, pooled 5 -> 3x3 -> 3 -> 3x3 -> 1, then 2 + 4 + 10 results
    weights = (27 * 10, 90 * 16, 144 * 32, 32 * 16)
    assert parameters == sum(weights) + 2 * (10 + 16 + 32) + 16
    assert macs == weights[0] * 100 + weights[1] * 9 + weights[2] + weights[3]


@pytest.mark.parametrize(
    # Of the PyTorch port in timesler/facenet-pytorch, whose P- and R-Net lack the landmarks.
    ("name", "port", "landmarks"),
    [("P-Net", 6_632, 10 * 33), ("R-Net", 100_178, 10 * 129), ("O-Net", 389_040, 0)],
)
def test_parameters_agree_with_a_port_of_mtcnn(name, port, landmarks):
    assert mtcnn_counts(*MTCNN[name])[0] == port + landmarks


def test_rows_have_keys_of_their_own_and_never_mix_units():
    rows = published_rows({"landmarks+pose+presence": (5, 7), "presence": (2, 3)})

    Table(("network", "part"), rows)  # raises where a key repeats
    assert [(row["counted_parameters"], row["counted_macs"]) for row in rows[:2]] == [
        (5, 7),
        (2, 3),
    ]
    assert all(row["source"] for row in rows)
    assert not any(row["published_macs"] and row["published_flops"] for row in rows)


def test_a_network_that_was_not_counted_stays_open():
    rows = published_rows({})

    assert rows[0]["counted_macs"] is None
    assert rows[0]["published_macs"] == "0.06 G"
