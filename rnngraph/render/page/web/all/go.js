// @ts-check
// What a click anywhere in the details leads to. The parts that can do it say so here, so that none has to know the others.


/** @type {{select: (column: any, key: string, how?: any) => void, unfold: (column: any) => void, close: () => void, placed: (() => void)[]}} */
export const go = { select: () => {}, unfold: () => {}, close: () => {}, placed: [] };
