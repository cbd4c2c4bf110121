import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads';

/** What onnxruntime looks for in the environment of the process, once, when its library is loaded. */
const VARIABLE = 'ORT_DISABLE_TELEMETRY';

/**
 * onnxruntime writes a device id and a data base of events under HOME and sends them to its maker unless it is told not
 * to before it is loaded. Only the main thread can tell it: what a thread writes into its environment is a copy that no
 * library sees. So the main thread of whoever starts threads that load models imports this file, and a thread whose main
 * thread did not refuses to go on.
 */
function forbidTelemetry(): void {
  if (isMainThread) {
    process.env[VARIABLE] = '1';
    setEnvironmentData(VARIABLE, '1');
  } else if (getEnvironmentData(VARIABLE) !== '1')
    throw new Error(
      'models are loaded in a thread whose main thread has not forbidden telemetry: import no-telemetry.js there',
    );
}

forbidTelemetry();
