import { deviceModel } from './origin.js';

const CHROME =
  'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36';

describe('device model', () => {
  it('prefers what an app names, then the browser hint, then the user agent', () => {
    const all = { 'x-device-model': 'Pixel 9', 'sec-ch-ua-model': '"Pixel 8"', 'user-agent': CHROME };
    expect(deviceModel(all)).toBe('Pixel 9');
    expect(deviceModel({ ...all, 'x-device-model': undefined })).toBe('Pixel 8');
    expect(deviceModel({ 'user-agent': CHROME })).toMatch(/Chrome.*Android/);
  });

  it('falls back when nothing is said or what is said is empty', () => {
    expect(deviceModel({})).toBe('an unknown device');
    expect(deviceModel({ 'x-device-model': ' \t ', 'sec-ch-ua-model': '""' })).toBe('an unknown device');
    expect(deviceModel({ 'user-agent': 'x' })).toBe('an unknown device');
  });

  it('keeps one short line: no control, formatting or separator characters', () => {
    const odd = deviceModel({ 'x-device-model': 'a\r\nBcc: b\u0000\u202e\u2028c' });
    expect(odd).toBe('a Bcc: b c');
    expect(deviceModel({ 'x-device-model': '📷'.repeat(500) }).length).toBeLessThanOrEqual(120);
  });

  it('stores text that looks like an operator as text', () => {
    expect(deviceModel({ 'x-device-model': '$$ROOT' })).toBe('$$ROOT');
  });
});
