import { type DynamicModule, type ForwardReference, type Type } from '@nestjs/common';
import { MODULE_METADATA } from '@nestjs/common/constants.js';
import { type DiscoveryService, MetadataScanner } from '@nestjs/core';
import { AppModule } from '../../apps/gateway/src/app.module.js';
import type { GatewayConfig } from '../../apps/gateway/src/config.js';
import { openApiDocument } from '../../apps/gateway/src/http/openapi.js';
import { Routes } from '../../apps/gateway/src/http/routes.js';

type Imported = Type | DynamicModule | Promise<DynamicModule> | ForwardReference;

/** The gateway's OpenAPI document, read from its modules: no server, no database, nothing started. */
export function gatewayDocument(): Record<string, unknown> {
  const config = { REDIS_URL: 'redis://-', MONGODB_URI: 'mongodb://-/-', LOG_LEVEL: 'error' } as GatewayConfig;
  const controllers = [...controllersOf(AppModule.forRoot(config), new Set())];
  const discovery = { getControllers: () => controllers.map((metatype) => ({ metatype })) };
  const routes = new Routes(discovery as unknown as DiscoveryService, new MetadataScanner());
  return openApiDocument(routes.all(), 'https://auth.example.org');
}

function controllersOf(imported: Imported, seen: Set<unknown>): Set<Type> {
  const found = new Set<Type>();
  const dynamic = 'module' in imported ? imported : null;
  const module = dynamic ? dynamic.module : (imported as Type);
  if (seen.has(module)) return found;
  seen.add(module);
  const of = <T>(key: string): T[] => [
    ...((Reflect.getMetadata(key, module) as T[] | undefined) ?? []),
    ...((dynamic?.[key as keyof DynamicModule] as T[] | undefined) ?? []),
  ];
  for (const controller of of<Type>(MODULE_METADATA.CONTROLLERS)) found.add(controller);
  for (const one of of<Imported>(MODULE_METADATA.IMPORTS)) {
    for (const controller of controllersOf(one, seen)) found.add(controller);
  }
  return found;
}
