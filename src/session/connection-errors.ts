// How a session says that it could not begin, or that it has ended. Any Node process.

import { PROTOCOL_VERSION } from './protocol.js';
import { ERRCODE_CONNECTION_FAILURE, ERRCODE_FEATURE_NOT_SUPPORTED } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';

export function connectionError(message: string, more: { detail?: string; hint?: string; cause?: unknown } = {}): ErrorData {
  return new ErrorData({ code: ERRCODE_CONNECTION_FAILURE, message, ...more });
}

export const endHint: { readonly detail: string } = {
  detail: "This probably means that the session's backend terminated abnormally, or that the postmaster is gone.",
};

export function versionError(version: number): ErrorData {
  return new ErrorData({
    code: ERRCODE_FEATURE_NOT_SUPPORTED,
    message: `the postmaster speaks version ${version} of the session protocol, this library version ${PROTOCOL_VERSION}`,
    hint: 'Use the same version of bgworker in the application and in the postmaster.',
  });
}
