"""The families of models; importing registers them all."""

from hf_ext.models import flash, gau_alpha, gpt_cdial, nezha, roformer, t5_pegasus, unilm_bert
from hf_ext.models.flash import *  # noqa: F403
from hf_ext.models.gau_alpha import *  # noqa: F403
from hf_ext.models.gpt_cdial import *  # noqa: F403
from hf_ext.models.nezha import *  # noqa: F403
from hf_ext.models.roformer import *  # noqa: F403
from hf_ext.models.t5_pegasus import *  # noqa: F403
from hf_ext.models.unilm_bert import *  # noqa: F403

__all__: list[str] = []
__all__ += flash.__all__
__all__ += gau_alpha.__all__
__all__ += gpt_cdial.__all__
__all__ += nezha.__all__
__all__ += roformer.__all__
__all__ += t5_pegasus.__all__
__all__ += unilm_bert.__all__
