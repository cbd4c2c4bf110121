/** The one place that loads onnxruntime, after its telemetry was forbidden. The order of these lines matters. */
import './no-telemetry.js';
export { InferenceSession, Tensor } from 'onnxruntime-node';
