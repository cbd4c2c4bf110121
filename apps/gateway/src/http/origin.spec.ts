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

  it.each([
    [
      'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36',
      'Chrome on Android',
    ],
    [
      'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36',
      'Samsung Internet on Android',
    ],
    [
      'Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/UD1A.230803; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0.0.0 Mobile Safari/537.36',
      'Pixel 8, Chrome on Android',
    ],
    ['Mozilla/5.0 (Linux; Android 10; Mobile) AppleWebKit/537.36 Chrome/126.0.0.0 Safari/537.36', 'Chrome on Android'],
    ['Mozilla/5.0 (Android 14; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0', 'Firefox on Android'],
    [
      'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15',
      'Safari on a Mac or iPad',
    ],
    [
      'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36',
      'Chrome on a Mac',
    ],
    ['Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:127.0) Gecko/20100101 Firefox/127.0', 'Firefox on a Mac'],
    [
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1',
      'Safari on an iPhone',
    ],
    [
      'Mozilla/5.0 (iPad; CPU OS 16_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/126.0 Mobile/15E148 Safari/604.1',
      'Chrome on an iPad',
    ],
    [
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36',
      'Chrome on Windows',
    ],
    [
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0',
      'Microsoft Edge on Windows',
    ],
    ['Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0', 'Firefox on Linux'],
    [
      'Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36',
      'Chrome on Chrome OS',
    ],
  ])('case 21: a frozen user agent claims no version: %s', (agent, device) => {
    expect(deviceModel({ 'user-agent': agent })).toBe(device);
    expect(deviceModel({ 'user-agent': agent, 'sec-ch-ua-model': '"K"' })).toBe(device);
    expect(deviceModel({ 'user-agent': agent, 'sec-ch-ua-model': '""' })).toBe(device);
    for (const nothing of ['K', '"k"', '"Unknown"', '"unknown"', ' "K" '])
      expect(deviceModel({ 'user-agent': agent, 'sec-ch-ua-model': nothing })).toBe(device);
    // An app on a frozen Android may hand on what its own browser says.
    expect(deviceModel({ 'user-agent': agent, 'x-device-model': 'K' })).toBe(device);
    expect(deviceModel({ 'user-agent': agent, 'sec-ch-ua-platform': '"unknown"' })).toBe(device);
  });

  it('case 21: a hint is read as the string that it is', () => {
    expect(deviceModel({ 'sec-ch-ua-model': '"Tab 10\\" \\\\ 2"' })).toBe('Tab 10" \\ 2');
  });

  it.each([
    ['Windows', '15.0.0', 'Chrome on Windows 11'],
    ['Windows', '13.0.0', 'Chrome on Windows 11'],
    ['Windows', '10.0.0', 'Chrome on Windows 10'],
    ['Windows', '0.3.0', 'Chrome on Windows'],
    ['macOS', '14.5.0', 'Chrome on macOS 14'],
    ['Android', '14.0.0', 'Chrome on Android 14'],
    ['Android', '', 'Chrome on Android'],
    ['Linux', '', 'Chrome on Linux'],
    ['Chrome OS', '14541.0.0', 'Chrome on Chrome OS'],
    ['Unknown', '', 'Chrome on Android'],
  ])('case 21: a browser that hints at %s %s is believed', (platform, version, device) => {
    const hints = { 'sec-ch-ua-platform': `"${platform}"`, 'sec-ch-ua-platform-version': `"${version}"` };
    expect(deviceModel({ 'user-agent': CHROME, ...hints })).toBe(device);
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
