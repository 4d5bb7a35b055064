// The kernel's parameters, where the platform keeps them: constants of the pipeline, immediate data, or a uniform buffer.
#ifdef BAKED
const params = Params(BAKED);
#else
#ifdef IMMEDIATES
var<immediate> params: Params;
#else
@group(1) @binding(0) var<uniform> params: Params;
#endif
#endif
