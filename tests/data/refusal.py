"""How data that is not as it must be is refused."""

import pytest

from plasticity.core.errors import UserError


def refusal(call, *arguments):
    with pytest.raises(UserError) as refused:
        call(*arguments)
    return str(refused.value)
