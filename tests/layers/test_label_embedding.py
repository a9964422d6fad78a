import numpy

from spacy_deeper.layers.label_embedding import LabelEmbedding
from spacy_deeper.layers.torch_layer import shim_of


def test_a_tag_is_a_row_of_the_table() -> None:
    model = LabelEmbedding(width=4, nV=5)
    model.initialize()
    table = shim_of(model).module.weight.detach().numpy()
    assert table.shape == (5, 4)
    tags = numpy.array([3, 0, 3, 4])
    numpy.testing.assert_array_equal(model.predict(tags), table[tags])
    assert model.predict(tags[:0]).shape == (0, 4)
